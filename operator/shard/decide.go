package shard

import "time"

// times are how long things take; all follow from how long a lease lasts.
type times struct {
	lease time.Duration // without renewal it is anyone's after this
	renew time.Duration // a holder that could not renew for this long stops
	look  time.Duration // between two looks
}

func timesOf(lease time.Duration) times {
	return times{lease: lease, renew: lease * 2 / 3, look: lease / 8}
}

// seen is a shard's Lease as this replica sees it.
type seen struct {
	holder  string        // ""; nobody
	wish    string        // who asks for it
	still   time.Duration // since it was last seen to change, by this replica's clock: clocks of others are not trusted
	holding bool          // this replica believes that it holds it
}

// action is what to do with a shard.
type action string

const (
	wait   action = "wait"
	take   action = "take"
	renew  action = "renew"
	ask    action = "ask"    // somebody holds more than a fair share: ask for this one
	giveUp action = "giveUp" // this replica does
	lost   action = "lost"   // somebody else has it, though it was ours
)

// decide is pure: it says what a replica that holds some of the shards does with one of them. fair is how many it should
// hold while all replicas are there, most how many others hold at most each, by name. One beyond the fair share it takes
// only when its holder is gone twice as long as it must be, so that who has less comes first.
func decide(s seen, me string, held, fair, most int, t times) action {
	free := s.holder == "" || s.still >= t.lease
	switch {
	case s.holding && s.holder != me:
		return lost
	case s.holding && held > fair && s.wish != "" && s.wish != me:
		return giveUp
	case s.holding:
		return renew
	case s.holder == me:
		return take // of a former life under the same name
	case free && (held < fair || s.still >= 2*t.lease):
		return take
	case !free && held < fair && most > fair && s.wish == "":
		return ask
	}
	return wait
}
