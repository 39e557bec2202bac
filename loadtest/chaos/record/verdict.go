package record

// Verdict is what the auditor found. Lists hold the first few of what was counted.
type Verdict struct {
	OK bool `json:"ok"`

	Acked         int64 `json:"acked"`
	Indeterminate int64 `json:"indeterminate"`
	Rejected      int64 `json:"rejected"`
	Letters       int64 `json:"letters"` // what is no event; counted in the three above too

	InKafka              int64      `json:"in_kafka"`
	InTable              int64      `json:"in_table"`
	InRaw                int64      `json:"in_raw"`
	IndeterminateInTable int64      `json:"indeterminate_in_table"`
	DeadLetters          int64      `json:"dead_letters"`
	DeadLettersRepeated  int64      `json:"dead_letters_repeated"` // allowed: readers know one by its place
	Files                int64      `json:"files"`
	GluePartitions       int64      `json:"glue_partitions"`
	Missing              int64      `json:"missing"`
	Doubled              int64      `json:"doubled"`
	Faults               int64      `json:"faults"` // of every kind together
	FaultList            []Finding  `json:"fault_list,omitempty"`
	Freshness            Freshness  `json:"freshness"`
	Recoveries           []Recovery `json:"recoveries,omitempty"`
}

// Finding is one kind of fault: how often, and the first few.
type Finding struct {
	Kind  string   `json:"kind"`
	Count int64    `json:"count"`
	First []string `json:"first"`
}

// Freshness is how long events took from their acknowledgement to their first sight in the table, in seconds.
type Freshness struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Recovery is how long after an action everything that was acknowledged before it was visible, in seconds.
type Recovery struct {
	Action  Action  `json:"action"`
	Seconds float64 `json:"seconds"`
	Waiting int64   `json:"waiting"` // events that were not yet visible when it began
}
