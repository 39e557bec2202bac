package gateway

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// BenchmarkCall is BenchmarkRequest by Connect and by gRPC.
func BenchmarkCall(b *testing.B) {
	g := benchGateway(b)
	for _, protocol := range []string{"connect", "grpc"} {
		for _, n := range []int{1, 20, 100} {
			body, err := proto.Marshal(messageOf(benchEvents(n)...))
			require.NoError(b, err)
			contentType := "application/proto"
			if protocol == "grpc" {
				contentType, body = "application/grpc+proto", frameOf(body)
			}
			b.Run(fmt.Sprint(protocol, "/events=", n), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(body)))
				b.SetParallelism(64)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						r := httptest.NewRequest(http.MethodPost, unaryMethod, bytes.NewReader(body))
						r.ProtoMajor = 2
						r.Header.Set("Content-Type", contentType)
						r.Header.Set("Authorization", basicKey1)
						w := httptest.NewRecorder()
						if g.handler.ServeHTTP(w, r); w.Code != 200 || w.Result().Trailer.Get("Grpc-Status") > "0" {
							b.Fatal(w.Body.String(), w.Header())
						}
					}
				})
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
			})
		}
	}
}

// BenchmarkStream is one gRPC stream over the loopback, with the server's and the client's HTTP/2; the client writes
// frames that were made before.
func BenchmarkStream(b *testing.B) {
	g := benchGateway(b)
	go func() { _ = g.server.Serve(g.listener) }()
	defer g.server.Close()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	for _, n := range []int{1, 20, 100} {
		message, err := proto.Marshal(messageOf(benchEvents(n)...))
		require.NoError(b, err)
		b.Run(fmt.Sprint("events=", n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(message)))
			body, in := io.Pipe()
			go func() {
				var frame []byte
				for i := range b.N {
					frame = append(frame[:0], make([]byte, 5)...)
					frame = protowire.AppendVarint(protowire.AppendTag(frame, 1, protowire.VarintType), uint64(i+1))
					frame = protowire.AppendBytes(protowire.AppendTag(frame, 2, protowire.BytesType), message)
					binary.BigEndian.PutUint32(frame[1:], uint32(len(frame)-5))
					if _, err := in.Write(frame); err != nil {
						return
					}
				}
				_ = in.Close()
			}()
			r, err := http.NewRequest("POST", "http://"+g.listener.Addr().String()+streamMethod, body)
			require.NoError(b, err)
			r.Header.Set("Content-Type", "application/grpc+proto")
			r.Header.Set("Authorization", basicKey1)
			resp, err := (&http.Client{Transport: transport}).Do(r)
			require.NoError(b, err)
			defer resp.Body.Close()
			var prefix [5]byte
			for range b.N {
				_, err := io.ReadFull(resp.Body, prefix[:])
				require.NoError(b, err)
				_, err = io.CopyN(io.Discard, resp.Body, int64(binary.BigEndian.Uint32(prefix[1:])))
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
		})
	}
}

func frameOf(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}
