package org.apache.hadoop.hive.ql.exec;

import java.util.ArrayList;
import java.util.List;
import org.apache.hive.com.esotericsoftware.kryo.Kryo;
import org.apache.hive.com.esotericsoftware.kryo.Serializer;
import org.apache.hive.com.esotericsoftware.kryo.io.Input;
import org.apache.hive.com.esotericsoftware.kryo.io.Output;

/**
 * Stands in for Hive's own class of this name, which looks for a field of ArrayList's sublists that is gone since Java 9, and
 * without which Hive cannot plan. A sublist in a plan becomes a list of its own.
 */
final class SerializationUtilities$ArrayListSubListSerializer extends Serializer<List<?>> {
    public SerializationUtilities$ArrayListSubListSerializer() {}

    @Override
    public void write(Kryo kryo, Output out, List<?> list) {
        kryo.writeObject(out, new ArrayList<Object>(list));
    }

    @Override
    public List<?> read(Kryo kryo, Input in, Class<List<?>> type) {
        return kryo.readObject(in, ArrayList.class);
    }
}
