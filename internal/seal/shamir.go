package seal

import (
	"crypto/rand"
	"errors"
	"fmt"
)

// Shamir's secret sharing over GF(2^8) with AES's polynomial (Shamir, "How to
// share a secret", 1979). A share is the polynomials' values, one byte for each
// byte of the secret, followed by the point they were taken at: Vault's form,
// so that shares look and measure as its users know them. Arithmetic is free of
// tables and of branches on secret bytes.

// Split shares secret among n so that any k of them give it back.
func Split(secret []byte, n, k int) ([][]byte, error) {
	switch {
	case len(secret) == 0:
		return nil, errors.New("seal: nothing to share")
	case k < 2 || n < k || n > 255:
		return nil, fmt.Errorf("seal: cannot make %d shares with a threshold of %d: 2 ≤ threshold ≤ shares ≤ 255", n, k)
	}
	shares := make([][]byte, n)
	for i := range shares {
		shares[i] = make([]byte, len(secret)+1)
		shares[i][len(secret)] = byte(i + 1)
	}
	shufflePoints(shares, len(secret))
	coeff := make([]byte, k)
	for j, s := range secret {
		rand.Read(coeff)
		coeff[0] = s
		for _, share := range shares {
			x, y := share[len(secret)], byte(0)
			for i := k - 1; i >= 0; i-- { // Horner
				y = mul(y, x) ^ coeff[i]
			}
			share[j] = y
		}
	}
	clear(coeff)
	return shares, nil
}

// shufflePoints gives the shares distinct random points, so that a share's
// number says nothing about its place.
func shufflePoints(shares [][]byte, at int) {
	var points [255]byte
	for i := range points {
		points[i] = byte(i + 1)
	}
	var r [1]byte
	for i := range shares {
		rest := len(points) - i
		for limit := 256 / rest * rest; ; { // rejection keeps it uniform
			rand.Read(r[:])
			if int(r[0]) < limit {
				break
			}
		}
		j := i + int(r[0])%rest
		points[i], points[j] = points[j], points[i]
		shares[i][at] = points[i]
	}
}

// Combine gives back the secret that shares were split from. Too few shares, or
// shares of different secrets, give bytes that are not the secret: whoever uses
// the result finds out by authenticated decryption.
func Combine(shares [][]byte) ([]byte, error) {
	if len(shares) < 2 {
		return nil, errors.New("seal: at least two shares are needed")
	}
	size := len(shares[0])
	seen := [256]bool{}
	for _, s := range shares {
		if len(s) != size || size < 2 {
			return nil, errors.New("seal: the shares differ in length")
		}
		if x := s[size-1]; x == 0 || seen[x] {
			return nil, errors.New("seal: a share was given twice or is malformed")
		} else {
			seen[x] = true
		}
	}
	out := make([]byte, size-1)
	for i, s := range shares {
		xi := s[size-1]
		basis := byte(1) // the Lagrange basis polynomial of share i, at 0
		for j, o := range shares {
			if j != i {
				xj := o[size-1]
				basis = mul(basis, mul(xj, inverse(xj^xi)))
			}
		}
		for b := range out {
			out[b] ^= mul(s[b], basis)
		}
	}
	return out, nil
}

// mul multiplies in GF(2^8) modulo x^8+x^4+x^3+x+1, in constant time.
func mul(a, b byte) (p byte) {
	for range 8 {
		p ^= a & -(b & 1)
		a = a<<1 ^ 0x1b&-(a>>7)
		b >>= 1
	}
	return p
}

// inverse is a^254; the inverse of 0 does not exist and comes out as 0.
func inverse(a byte) byte {
	r := byte(1)
	for range 7 {
		a = mul(a, a)
		r = mul(r, a)
	}
	return r
}
