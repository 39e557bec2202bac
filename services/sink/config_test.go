package sink

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"weir/pkg/settings"
)

func TestDefaultsAreThoseOfTheTags(t *testing.T) {
	t.Setenv("POD_NAME", "")
	var parsed Config
	p, err := kong.New(&parsed)
	require.NoError(t, err)
	_, err = p.Parse(nil)
	require.NoError(t, err)
	require.Equal(t, DefaultConfig(), parsed)
	require.Empty(t, parsed.Validate())
}

func TestValidateListsEveryFault(t *testing.T) {
	c := Config{
		Group: "a group", Topic: "t", FlushTopic: "t", DeadLetterTopic: "", Lake: "file:///lake",
		FileSize: 1, FileAge: time.Millisecond, Memory: settings.Memory{Bytes: 1}, RawCodec: "lz4",
		SessionTimeout: time.Hour, TopicReplication: 100, TopicRetention: 1,
	}
	named := map[string]bool{}
	for _, err := range c.Validate() {
		name, _, _ := strings.Cut(err.Error(), ":")
		named[name] = true
	}
	for field := range reflect.TypeFor[Config]().Fields() {
		name := field.Tag.Get("name")
		switch name {
		case "", "topic", "pod-name", "promote": // kafka's are its own; a legal topic; any name; read when it is set
			continue
		}
		require.True(t, named[name], name)
	}
	require.True(t, named["kafka-brokers"])
}

func TestGroupNamesThatAKeyCannotHold(t *testing.T) {
	for _, name := range []string{"", "a/b", "a b", "ä", strings.Repeat("x", 250)} {
		c := DefaultConfig()
		c.Group = name
		require.Len(t, c.Validate(), 1, name)
	}
}
