package cli

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// parseTTL reads "90s", "1h30m", "7d", or a bare number of seconds.
func parseTTL(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, fmt.Errorf("a duration is empty: write one such as \"30m\", or a number of seconds")
	}
	number, unit := text, time.Second
	if days, ok := strings.CutSuffix(text, "d"); ok {
		number, unit = days, 24*time.Hour
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		if limit := math.MaxInt64 / int64(unit); n > limit || n < -limit {
			return 0, fmt.Errorf("duration %q is out of range", text)
		}
		return time.Duration(n) * unit, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration: write one such as \"30m\", or a number of seconds", text)
	}
	return d, nil
}

// humanDuration prints a duration without the units that are zero at its end: 24h, 1h30m, 10s.
func humanDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func humanSeconds(n int) string { return humanDuration(time.Duration(n) * time.Second) }

// isDurationField tells the fields whose numbers Vault prints as durations in tables.
func isDurationField(name string) bool {
	for _, word := range []string{"ttl", "period", "duration"} {
		if name == word || strings.HasSuffix(name, "_"+word) {
			return true
		}
	}
	return name == "lease_max" || name == "ttl_max"
}

// humanField makes the number of a duration field readable and leaves every other value alone.
func humanField(name string, value any) any {
	number, ok := value.(json.Number)
	if !ok || !isDurationField(name) {
		return value
	}
	n, err := number.Int64()
	if err != nil || n > math.MaxInt64/int64(time.Second) || n < 0 {
		return value
	}
	return humanDuration(time.Duration(n) * time.Second)
}
