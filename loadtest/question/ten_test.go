//go:build duckdb

package question

// tenQueries are what analysts ask. Where there is a reason why an engine reads another amount than the estimate, its
// figure is how many times the estimate that may be; 0 = within a tenth.
var tenQueries = []struct {
	sql           string
	trino, duckdb float64
	reason        string
}{
	{"select type, count(messageid) from eventlogs where sourceid = 'source1' and dt = '2026-11-21' group by 1", 0, 0, ""},
	{"select count(distinct userid) from eventlogs where dt >= '2026-11-22'", 0, 0, ""},
	{"select max(element_at(properties, 'revenue')) from eventlogs where sourceid = 'source2'", 0, 0, ""},
	{"select max(messageid), max(userid), max(event) from eventlogs where dt between '2026-11-20' and '2026-11-22'", 0, 0, ""},
	{"select avg(cast(element_at(properties, 'revenue') as double)), max(userid) from eventlogs where dt = '2026-11-20'", 0, 0, ""},
	{"select count(*), max(messageid) from eventlogs where cast(dt as date) > date '2026-11-21'", 0, 2.1, "DuckDB by itself leaves out no file by a cast of dt; the planner of weir query does"},
	{"select max(json_extract_scalar(element_at(context, 'page'), '$.url')) from eventlogs where dt = '2026-11-23'", 0, 0, ""},
	{"select max(a.userid), min(b.messageid) from eventlogs a join eventlogs b on a.kafkaoffset = b.kafkaoffset where a.dt = '2026-11-20' and " +
		"b.dt = '2026-11-20' and a.sourceid = 'source1' and b.sourceid = 'source1'", 0, 0, ""},
	{"select count(userid) from eventlogs where dt = '2026-11-22' and messageid = 'nobody'", 1.1, 1.1, "statistics and the Bloom filter spare it"},
	{"select userid from eventlogs where dt = '2026-11-22' limit 10", 1.1, 1.1, "LIMIT ends it early"},
}
