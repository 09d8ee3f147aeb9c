package seal

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/internal/secret"
)

// renewals runs s.Renew against a transport in this process, in false time.
type renewals struct {
	status []int // of each call in turn; the last goes on
	at     []time.Duration
	start  time.Time
}

func (r *renewals) RoundTrip(*http.Request) (*http.Response, error) {
	r.at = append(r.at, time.Since(r.start))
	status := r.status[min(len(r.at), len(r.status))-1]
	body := `{"auth":{"renewable":true,"lease_duration":3600}}`
	if status != 200 {
		body = `{"errors":["no"]}`
	}
	w := httptest.NewRecorder()
	w.WriteHeader(status)
	w.Body = bytes.NewBufferString(body)
	return w.Result(), nil
}

func TestTransitRenewal(t *testing.T) {
	for name, c := range map[string]struct {
		status   []int
		within   time.Duration
		calls    int
		reported int
	}{
		"half its life, again and again": {[]int{200}, 3 * time.Hour, 7, 0},
		"an outage":                      {[]int{200, 503, 503, 200}, 32 * time.Minute, 4, 2},
		"a token that is not renewable":  {[]int{400}, time.Hour, 1, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), c.within)
			defer cancel()
			r := &renewals{status: c.status, start: time.Now()}
			s, err := NewTransit(TransitConfig{Address: "http://vault", Token: secret.Bytes("t"), KeyName: "k", MountPath: "transit"})
			if err != nil {
				t.Fatal(err)
			}
			s.client.Transport = r
			reported := 0
			s.Renew(ctx, func(error) { reported++ })
			if len(r.at) != c.calls || reported != c.reported {
				t.Errorf("%s: called at %v, %d reports", name, r.at, reported)
			}
		})
	}
}
