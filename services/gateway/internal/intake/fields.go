package intake

import "weir/pkg/jsonscan"

// field is a top-level key of an event that the gateway knows.
type field uint8

const (
	fieldWriteKey field = iota
	fieldType
	fieldMessageID
	fieldOriginalTimestamp
	fieldTimestamp
	fieldSentAt
	fieldReceivedAt
	fieldContext
	fieldIntegrations
	fieldUserID
	fieldAnonymousID
	fieldGroupID
	fieldPreviousID
	fieldEvent
	fieldName
	fieldCategory
	fieldProperties
	fieldTraits
	fields // how many there are
)

var fieldNames = [fields]string{
	"writeKey", "type", "messageId", "originalTimestamp", "timestamp", "sentAt", "receivedAt", "context",
	"integrations", "userId", "anonymousId", "groupId", "previousId", "event", "name", "category", "properties",
	"traits",
}

// fieldOf finds the field of a key's text; fields if the gateway does not know it. A switch on a string costs no
// allocation and a fraction of a map's look-up.
func fieldOf(key []byte) field {
	switch string(key) {
	case "writeKey":
		return fieldWriteKey
	case "type":
		return fieldType
	case "messageId":
		return fieldMessageID
	case "originalTimestamp":
		return fieldOriginalTimestamp
	case "timestamp":
		return fieldTimestamp
	case "sentAt":
		return fieldSentAt
	case "receivedAt":
		return fieldReceivedAt
	case "context":
		return fieldContext
	case "integrations":
		return fieldIntegrations
	case "userId":
		return fieldUserID
	case "anonymousId":
		return fieldAnonymousID
	case "groupId":
		return fieldGroupID
	case "previousId":
		return fieldPreviousID
	case "event":
		return fieldEvent
	case "name":
		return fieldName
	case "category":
		return fieldCategory
	case "properties":
		return fieldProperties
	case "traits":
		return fieldTraits
	}
	return fields
}

// span is a half-open range of the body, which is far smaller than 2 GiB.
type span struct{ from, to int32 }

func (s span) len() int { return int(s.to - s.from) }

// member is one member of an object: where its key begins, where the next member or the closing brace does, and its
// value. The zero member is one that is not there.
type member struct {
	key, next int32
	value     span
	kind      jsonscan.Kind
	flags     jsonscan.Flags
}

func (m *member) there() bool { return m.kind != jsonscan.Invalid }

// cut is a member that does not stand in the result.
type cut struct {
	span
	field field
}

// absent also holds for null and "", which clients send for what they do not have.
func (m *member) absent() bool {
	return m.kind <= jsonscan.Null || m.kind == jsonscan.String && m.value.to-m.value.from == 2
}

// sender is what a context tells about who sent the event.
type sender struct {
	ip      member
	library member
	name    member // of the library
	direct  member
}

// found is one event as it stands in the body.
type found struct {
	value     jsonscan.Value
	malformed bool  // of a List: value is where it stands, and nothing else is known
	last      int32 // where the key of its last member begins; 0 in an empty object
	cuts      span  // its range in Intake.cuts
	members   [fields]member
	sender    sender
}

// envelope is what a batch says about all its events.
type envelope struct {
	sentAt       member
	context      member
	integrations member
	sender       sender
}
