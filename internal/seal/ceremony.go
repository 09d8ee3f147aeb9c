package seal

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"strongroom/internal/secret"
)

// Ceremony collects shares until there are enough. It is safe for concurrent
// use and lives in memory only.
type Ceremony struct {
	mu     sync.Mutex
	nonce  string
	shares [][]byte
}

// Progress is how many shares have been collected, and the nonce of this
// collection ("" before the first).
func (c *Ceremony) Progress() (n int, nonce string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.shares), c.nonce
}

// Reset forgets what was collected.
func (c *Ceremony) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reset()
}

func (c *Ceremony) reset() {
	for _, s := range c.shares {
		clear(s)
	}
	c.shares, c.nonce = nil, ""
}

// Add takes one share. When threshold of them are there it returns the key they
// combine to and forgets them; before that, nil. The same share again changes
// nothing. It owns share afterwards.
func (c *Ceremony) Add(share []byte, threshold int) (Key, error) {
	key, err := c.AddNew(share, threshold)
	if errors.Is(err, ErrRepeated) {
		return nil, nil
	}
	return key, err
}

// ErrRepeated: this share has been given already; nothing was changed.
var ErrRepeated = errors.New("this key share has already been given: another holder's is needed")

// AddNew is Add for which a share given twice is ErrRepeated.
func (c *Ceremony) AddNew(share []byte, threshold int) (Key, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	want := secret.KeySize + 1
	if threshold == 1 {
		want = secret.KeySize
	}
	if len(share) != want {
		return nil, fmt.Errorf("'key' must be a valid hex or base64 string of %d bytes; this one has %d: copy the whole unseal key", want, len(share))
	}
	for _, s := range c.shares {
		if subtle.ConstantTimeCompare(s, share) == 1 {
			clear(share)
			return nil, ErrRepeated
		}
	}
	if c.nonce == "" {
		c.nonce = uuid.NewString()
	}
	c.shares = append(c.shares, share)
	if len(c.shares) < threshold {
		return nil, nil
	}
	defer c.reset()
	if threshold == 1 {
		return Key(append([]byte(nil), share...)), nil
	}
	key, err := Combine(c.shares)
	return Key(key), err
}
