package shard

import (
	"fmt"
	"testing"
	"time"
)

func TestDecide(t *testing.T) {
	times := timesOf(8 * time.Second)
	const young, old, ancient = time.Second, 9 * time.Second, 17 * time.Second
	tests := []struct {
		name             string
		s                seen
		held, fair, most int
		want             action
	}{
		{"nobody's, and this replica has room", seen{}, 0, 1, 0, take},
		{"nobody's, and this replica has its share", seen{still: young}, 1, 1, 0, wait},
		{"nobody's, and nobody else comes", seen{still: ancient}, 1, 1, 0, take},
		{"another's", seen{holder: "b", still: young}, 0, 1, 1, wait},
		{"a dead one's, and this replica has room", seen{holder: "b", still: old}, 0, 1, 1, take},
		{"a dead one's, and this replica has its share", seen{holder: "b", still: old}, 1, 1, 1, wait},
		{"a dead one's for long", seen{holder: "b", still: ancient}, 1, 1, 1, take},
		{"ours", seen{holder: "a", holding: true}, 1, 1, 0, renew},
		{"ours, and asked for, but no more than fair", seen{holder: "a", wish: "b", holding: true}, 1, 1, 0, renew},
		{"ours, asked for, and more than fair", seen{holder: "a", wish: "b", holding: true}, 2, 1, 0, giveUp},
		{"ours, more than fair, but nobody asks", seen{holder: "a", holding: true}, 2, 1, 0, renew},
		{"of a former life", seen{holder: "a"}, 0, 1, 0, take},
		{"taken from us", seen{holder: "b", holding: true}, 1, 1, 1, lost},
		{"taken from us by nobody", seen{holding: true}, 1, 1, 0, lost},
		{"another has more than fair", seen{holder: "b", still: young}, 0, 1, 2, ask},
		{"another has more than fair, and is asked", seen{holder: "b", wish: "c", still: young}, 0, 1, 2, wait},
		{"another has more than fair, but so have we", seen{holder: "b", still: young}, 1, 1, 2, wait},
	}
	for _, test := range tests {
		if got := decide(test.s, "a", test.held, test.fair, test.most, times); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// The shards of names are a stored form: replicas of two versions must agree on them.
func TestOf(t *testing.T) {
	for namespace, want := range map[string]int{"default": 2, "kube-system": 2, "shop": 1, "": 1} {
		if got := Of(namespace, 4); got != want {
			t.Errorf("namespace %q is of shard %d, want %d", namespace, got, want)
		}
	}
	counts := make([]int, 4)
	for i := range 1000 {
		counts[Of(fmt.Sprintf("team-%d", i), 4)]++
	}
	for shard, count := range counts {
		if count < 150 || count > 350 {
			t.Errorf("shard %d has %d of 1000 namespaces", shard, count)
		}
	}
}
