package event

// field is a top-level key of an event that has a column.
type field uint8

const (
	anonymousID field = iota
	messageID
	typ
	userID
	eventName
	name
	category
	groupID
	previousID
	version
	timestamp
	originalTimestamp
	sentAt
	receivedAt
	context
	traits
	properties
	integrations
	fields // how many there are
)

// key is the field's name in JSON.
func (f field) key() string {
	return [fields]string{
		"anonymousId", "messageId", "type", "userId", "event", "name", "category", "groupId", "previousId", "version",
		"timestamp", "originalTimestamp", "sentAt", "receivedAt", "context", "traits", "properties", "integrations",
	}[f]
}

// fieldOf finds the field of a key; fields if there is none. A switch on a string costs no allocation and a fraction
// of a map's look-up.
func fieldOf(key []byte) field {
	switch string(key) {
	case "anonymousId":
		return anonymousID
	case "messageId":
		return messageID
	case "type":
		return typ
	case "userId":
		return userID
	case "event":
		return eventName
	case "name":
		return name
	case "category":
		return category
	case "groupId":
		return groupID
	case "previousId":
		return previousID
	case "version":
		return version
	case "timestamp":
		return timestamp
	case "originalTimestamp":
		return originalTimestamp
	case "sentAt":
		return sentAt
	case "receivedAt":
		return receivedAt
	case "context":
		return context
	case "traits":
		return traits
	case "properties":
		return properties
	case "integrations":
		return integrations
	}
	return fields
}

// column is where a string field's value goes.
func (v *View) column(f field) *Text {
	switch f {
	case anonymousID:
		return &v.AnonymousID
	case messageID:
		return &v.MessageID
	case typ:
		return &v.Type
	case userID:
		return &v.UserID
	case eventName:
		return &v.Event
	case name:
		return &v.Name
	case category:
		return &v.Category
	case groupID:
		return &v.GroupID
	case previousID:
		return &v.PreviousID
	default:
		return &v.Version
	}
}

// mapColumn is where a map field's value goes.
func (v *View) mapColumn(f field) *Map {
	switch f {
	case context:
		return &v.Context
	case traits:
		return &v.Traits
	case properties:
		return &v.Properties
	default:
		return &v.Integrations
	}
}
