package cluster

import (
	"io"
	"net/http"
	"testing"
	"time"
)

// Whatever a member sends in place of requests, the port goes on serving others.
func FuzzForwardFrames(f *testing.F) {
	ca := newCA(f)
	server := listen(f, Config{Identity: issue(f, ca, "n1"), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
	})})
	bad, good := listen(f, Config{Identity: issue(f, ca, "n2")}), listen(f, Config{Identity: issue(f, ca, "n3")})
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	f.Add([]byte(""))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte(preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"))
	f.Add([]byte(preface + "\xff\xff\xff\x01\x05\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := bad.dial(t.Context(), server.Advertise(), "", protocolForward)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		c.Write(b) // refused on the way, perhaps
		c.Close()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := good.RoundTripper(server.Advertise()).RoundTrip(req)
		if err != nil {
			t.Fatalf("after %q: %v", b, err)
		}
		resp.Body.Close()
	})
}
