package shown

import (
	"bytes"

	"weir/pkg/jsonscan"
)

// place is where in an event a value stands, as far as the policy looks at it.
type place struct {
	hidden  bool // below a key that is personal: nothing but null is shown
	top     bool // the event itself
	things  bool // what has a name here is a page, a library, an app: no person
	message bool // the messageId: made of digits as often as not
}

func atTop() place { return place{top: true, things: true} }

// under is the place of the value of a key; name is the key with its quotes.
func (p place) under(key jsonscan.Value, name []byte) place {
	if p.hidden || key.Flags != 0 || len(name) > maxText {
		return place{hidden: true} // no key that matters needs an escape
	}
	var room [maxText]byte
	word := normalise(room[:0], name[1:len(name)-1])
	if string(word) == "name" && p.things {
		return place{}
	}
	below := place{hidden: personal(word), message: p.top && string(word) == "messageid"}
	switch string(word) {
	case "library", "app", "os", "page", "screen":
		below.things = true
	}
	return below
}

// element is the place of an array's element.
func (p place) element() place { return place{hidden: p.hidden, things: p.things} }

// normalise makes one word of first_name, First-Name and firstName.
func normalise(dst, name []byte) []byte {
	for _, c := range name {
		switch {
		case c == '_' || c == '-' || c == ' ' || c == '.' || c == '$':
		case 'A' <= c && c <= 'Z':
			dst = append(dst, c+'a'-'A')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// personal reports whether what stands under a key tells of a person, or opens a door.
func personal(word []byte) bool {
	switch string(word) {
	case "name", "ip", "age", "sex", "dob", "lat", "lon", "lng", "geo", "zip", "city", "company", "employer", "search", "query":
		return true
	}
	for _, part := range [...]string{
		"trait", "mail", "phone", "mobile", "fax", "address", "street", "postal", "postcode", "zipcode", "location", "latitude", "longitude",
		"firstname", "lastname", "fullname", "middlename", "surname", "familyname", "givenname", "nickname", "username", "displayname", "customername",
		"birth", "gender", "passport", "social", "ssn", "taxid", "iban", "credit", "card", "account",
		"ipaddr", "clientip", "remoteip", "useragent", "advertisingid", "idfa", "gaid",
		"password", "passwd", "secret", "token", "cookie", "session", "auth", "credential", "signature", "writekey", "apikey", "accesskey", "privatekey",
	} {
		if bytes.Contains(word, []byte(part)) {
			return true
		}
	}
	return false
}

// shows reports whether a scalar may be shown as it stands.
func (p place) shows(v jsonscan.Value, text []byte) bool {
	switch v.Kind {
	case jsonscan.Null:
		return true
	case jsonscan.True, jsonscan.False:
		return !p.hidden
	case jsonscan.Number:
		return !p.hidden && len(text) <= maxText && digits(text) < manyDigits
	}
	return !p.hidden && v.Flags == 0 && plain(text[1:len(text)-1], p.message)
}
