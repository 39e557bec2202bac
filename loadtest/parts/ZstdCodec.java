package weir.parts;

/**
 * What Hadoop's own codec for .zst does where its native library is, as on EMR: pyspark comes without that library, but with
 * this codec of Parquet's, which reads the same frames and only knows them by another extension.
 */
public class ZstdCodec extends org.apache.parquet.hadoop.codec.ZstandardCodec {
    @Override
    public String getDefaultExtension() {
        return ".zst";
    }
}
