package kafka

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/event"
)

// Partitioner puts a record where its key says, as every Kafka client does (murmur2), and one that names its lane
// (event.HeaderFanout) as many partitions further. It needs nothing but the record: whoever writes one again, with the
// headers that it has, comes to the same partition, as long as the topic has as many.
func Partitioner() kgo.Partitioner { return partitioner{kgo.StickyKeyPartitioner(nil)} }

type partitioner struct{ keys kgo.Partitioner }

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return topicPartitioner{p.keys.ForTopic(topic)}
}

// topicPartitioner is consistent for every record that has a key.
type topicPartitioner struct{ kgo.TopicPartitioner }

func (p topicPartitioner) Partition(r *kgo.Record, n int) int {
	base := p.TopicPartitioner.Partition(r, n)
	if r.Key == nil { // anywhere is right
		return base
	}
	return (base + laneOf(r)) % n
}

// OnNewBatch tells the partitioner of records without a key.
func (p topicPartitioner) OnNewBatch() {
	if inner, ok := p.TopicPartitioner.(kgo.TopicPartitionerOnNewBatch); ok {
		inner.OnNewBatch()
	}
}

func laneOf(r *kgo.Record) int {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == event.HeaderFanout {
			l, _ := event.ParseLane(r.Headers[i].Value)
			return l.Lane
		}
	}
	return 0
}
