package vaultclient

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"strongroom/operator/condition"
)

// counters are the pool's metrics. None names a server: tenants choose addresses, and there may be any number.
type counters struct {
	logins   *prometheus.CounterVec
	requests *prometheus.CounterVec
}

func newCounters() *counters {
	return &counters{
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "strongroom_operator_logins_total",
			Help: "Logins to servers, by result: success, or the reason of the failure.",
		}, []string{"result"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "strongroom_operator_server_requests_total",
			Help: "Requests to servers, by the class of the answer (2xx to 5xx), or none.",
		}, []string{"answer"}),
	}
}

func (c *counters) login(err error) {
	result := "success"
	if err != nil {
		result = "error"
		if problem, ok := condition.As(err); ok {
			result = problem.Reason
		}
	}
	c.logins.WithLabelValues(result).Inc()
}

func (c *counters) request(status int) {
	answer := "none"
	if status > 0 {
		answer = strconv.Itoa(status/100) + "xx"
	}
	c.requests.WithLabelValues(answer).Inc()
}

// Collectors are the pool's metrics, to be registered once.
func (p *Pool) Collectors() []prometheus.Collector {
	count := func(of func() int) func() float64 {
		return func() float64 {
			p.mu.Lock()
			defer p.mu.Unlock()
			return float64(of())
		}
	}
	return []prometheus.Collector{
		p.counters.logins, p.counters.requests,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "strongroom_operator_sessions", Help: "Logins that are held.",
		}, count(func() int { return len(p.sessions) })),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "strongroom_operator_servers_out", Help: "Servers that are sealed or unreachable: probed a few times a minute, and not asked for anything else.",
		}, count(func() int {
			out := 0
			for _, b := range p.breakers {
				if b.problem != nil {
					out++
				}
			}
			return out
		})),
	}
}
