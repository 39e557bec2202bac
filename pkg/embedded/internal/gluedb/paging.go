package gluedb

import (
	"encoding/base64"
	"slices"
)

const (
	catalogID   = "000000000000"
	defaultPage = 100
	maxPage     = 1000
)

// walk visits sorted keys from where the token says until a page is full of
// those that take counts, and returns the token of the next page. The token
// names the last key that was seen, so that what is added or removed meanwhile
// moves nothing else.
func (p page) walk(keys []string, size int, take func(key string) (counts bool, err error)) (string, error) {
	if p.MaxResults != 0 {
		size = p.MaxResults
	}
	if size < 1 || size > maxPage {
		return "", fail(invalidInput, "MaxResults must be from 1 to %d", maxPage)
	}
	at, err := p.start(keys)
	if err != nil {
		return "", err
	}
	for taken := 0; at < len(keys); at++ {
		if taken == size {
			return base64.StdEncoding.EncodeToString([]byte(keys[at-1])), nil
		}
		counts, err := take(keys[at])
		if err != nil {
			return "", err
		}
		if counts {
			taken++
		}
	}
	return "", nil
}

func (p page) start(keys []string) (int, error) {
	if p.NextToken == "" {
		return 0, nil
	}
	last, err := base64.StdEncoding.DecodeString(p.NextToken)
	if err != nil {
		return 0, fail(invalidInput, "the token is not one of this catalog")
	}
	at, there := slices.BinarySearch(keys, string(last))
	if there {
		at++
	}
	return at, nil
}
