// Package dialect makes DuckDB understand what people write for Athena: the functions
// that DuckDB lacks, or means differently, as macros. Its invariant: a macro gives what
// Athena's engine (Trino) gives, or an error, never another value; what cannot be had
// so is left out and listed in README.md beside this file. date_parse is no macro,
// because DuckDB wants a format that is constant before macros are expanded: the engine
// registers DateParse. Owned by whoever owns weir query.
package dialect

import "strings"

// Settings make DuckDB's own operators agree with Athena's.
func Settings() []string {
	return []string{"SET integer_division=true"} // 1/2 is 0
}

// Macros are the statements that define them, in the schema that is current.
func Macros() []string {
	var statements []string
	for line := range strings.Lines(macros) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "--") {
			statements = append(statements, "CREATE MACRO "+line)
		}
	}
	return statements
}

// builtin is DuckDB's own function where a macro has its name.
const builtin = "system.main."

var macros = strings.NewReplacer("own.", builtin, "{mysql}", mysqlFormat("f"), "{step}", step, "{url}", url).Replace(`
-- Arrays and maps. A map's missing key and an index beyond the end are NULL.
element_at(c, k) AS c[k]
cardinality(c) AS CASE WHEN typeof(c) LIKE 'MAP(%' THEN len(json_keys(to_json(c))) ELSE json_array_length(to_json(c)) END
array_join(a, d) AS array_to_string(a, d)
array_max(a) AS CASE WHEN list_contains(list_transform(a, lambda x: x IS NULL), true) THEN NULL ELSE list_max(a) END
array_min(a) AS CASE WHEN list_contains(list_transform(a, lambda x: x IS NULL), true) THEN NULL ELSE list_min(a) END
arrays_overlap(a, b) AS list_has_any(a, b)
sequence(a, b) AS generate_series(a, b)
map_agg(k, v) AS map_from_entries(list((k, v)) FILTER (WHERE k IS NOT NULL))
-- Aggregates.
approx_distinct(x) AS approx_count_distinct(x)
approx_percentile(x, p) AS approx_quantile(x, p)
arbitrary(x) AS any_value(x)
every(x) AS bool_and(x)
-- JSON. What is no JSON, or no scalar, is NULL.
json_extract(j, p) AS CASE WHEN json_valid(j) THEN own.json_extract(j, p) END
json_extract_scalar(j, p) AS CASE WHEN json_valid(j) AND json_type(j, p) NOT IN ('OBJECT', 'ARRAY', 'NULL') THEN own.json_extract_string(j, p) END
json_parse(s) AS CAST(s AS JSON)
json_format(j) AS CAST(j AS VARCHAR)
-- Texts. Regular expressions are RE2's.
regexp_like(s, p) AS regexp_matches(s, p)
regexp_extract(s, p) AS CASE WHEN regexp_matches(s, p) THEN own.regexp_extract(s, p) END, (s, p, g) AS CASE WHEN regexp_matches(s, p) THEN own.regexp_extract(s, p, g) END
regexp_replace(s, p) AS own.regexp_replace(s, p, '', 'g'), (s, p, r) AS own.regexp_replace(s, p, own.regexp_replace(r, '\$(\d)', '\\\1', 'g'), 'g')
regexp_split(s, p) AS regexp_split_to_array(s, p)
split_part(s, d, n) AS CASE WHEN n < 1 THEN error('split_part: the index starts at 1') WHEN n <= len(string_split(s, d)) THEN own.split_part(s, d, n) END
levenshtein_distance(a, b) AS levenshtein(a, b)
hamming_distance(a, b) AS hamming(a, b)
codepoint(s) AS unicode(s)
concat(a, b) AS a || b, (a, b, c) AS a || b || c, (a, b, c, d) AS a || b || c || d, (a, b, c, d, e) AS a || b || c || d || e
url_extract_protocol(u) AS CASE WHEN regexp_matches(u, {url}) THEN own.regexp_extract(u, {url}, 1) END
url_extract_host(u) AS CASE WHEN regexp_matches(u, {url}) THEN nullif(own.regexp_extract(u, {url}, 2), '') END
url_extract_path(u) AS CASE WHEN regexp_matches(u, {url}) THEN own.regexp_extract(u, {url}, 4) END
url_extract_query(u) AS CASE WHEN regexp_matches(u, {url}) THEN own.regexp_extract(u, {url}, 5) END
url_extract_fragment(u) AS CASE WHEN regexp_matches(u, {url}) THEN own.regexp_extract(u, {url}, 6) END
-- Numbers.
greatest(a, b) AS CASE WHEN a IS NOT NULL AND b IS NOT NULL THEN own.greatest(a, b) END, (a, b, c) AS CASE WHEN a IS NOT NULL AND b IS NOT NULL AND c IS NOT NULL THEN own.greatest(a, b, c) END
least(a, b) AS CASE WHEN a IS NOT NULL AND b IS NOT NULL THEN own.least(a, b) END, (a, b, c) AS CASE WHEN a IS NOT NULL AND b IS NOT NULL AND c IS NOT NULL THEN own.least(a, b, c) END
truncate(x) AS trunc(x)
is_nan(x) AS isnan(x)
is_finite(x) AS isfinite(x)
is_infinite(x) AS isinf(x)
infinity() AS CAST('inf' AS DOUBLE)
nan() AS CAST('nan' AS DOUBLE)
bitwise_and(a, b) AS a & b
bitwise_or(a, b) AS a | b
-- Time. All of it is in UTC.
date_add(u, n, x DATE) AS CAST(x + {step} AS DATE), (u, n, x TIMESTAMP) AS x + {step}, (u, n, x TIMESTAMPTZ) AS x + {step}
date_diff(u, a, b) AS date_sub(u, a, b)
date_trunc(u, x DATE) AS CAST(own.date_trunc(u, x) AS DATE), (u, x TIMESTAMP) AS own.date_trunc(u, x), (u, x TIMESTAMPTZ) AS own.date_trunc(u, x)
date_format(x, f) AS strftime(x, {mysql})
from_iso8601_timestamp(s) AS CAST(s AS TIMESTAMPTZ)
from_iso8601_date(s) AS CAST(s AS DATE)
to_iso8601(x DATE) AS strftime(x, '%Y-%m-%d'), (x TIMESTAMP) AS strftime(x, '%Y-%m-%dT%H:%M:%S.%g'), (x TIMESTAMPTZ) AS strftime(x, '%Y-%m-%dT%H:%M:%S.%gZ')
from_unixtime(n) AS to_timestamp(n)
to_unixtime(x) AS epoch(x)
day_of_week(x) AS isodow(x)
dow(x) AS isodow(x)
day_of_month(x) AS dayofmonth(x)
day_of_year(x) AS dayofyear(x)
doy(x) AS dayofyear(x)
week_of_year(x) AS weekofyear(x)
year_of_week(x) AS isoyear(x)
yow(x) AS isoyear(x)
last_day_of_month(x) AS last_day(x)
`)

// step is n of the unit u as an interval.
const step = `CASE lower(u) WHEN 'millisecond' THEN to_milliseconds(n) WHEN 'second' THEN to_seconds(n) WHEN 'minute' THEN to_minutes(n) ` +
	`WHEN 'hour' THEN to_hours(n) WHEN 'day' THEN to_days(CAST(n AS INTEGER)) WHEN 'week' THEN to_weeks(CAST(n AS INTEGER)) ` +
	`WHEN 'month' THEN to_months(CAST(n AS INTEGER)) WHEN 'quarter' THEN to_quarters(CAST(n AS INTEGER)) ` +
	`WHEN 'year' THEN to_years(CAST(n AS INTEGER)) ELSE error('date_add: there is no unit ' || u) END`

// url has scheme, host, port, path, query and fragment as its groups.
const url = `'^([A-Za-z][A-Za-z0-9+.-]*)://(?:[^/?#@]*@)?([^/?#:]*)(:[0-9]*)?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$'`

// mysqlFormat turns a format of date_format, which is MySQL's, into strftime's. Codes
// that strftime lacks stay as they are, and strftime refuses them.
func mysqlFormat(format string) string {
	expression := format
	for _, pair := range [][2]string{
		{"%M", "\x01"},
		{"%i", "%M"},
		{"%s", "%S"},
		{"%T", "%H:%M:%S"},
		{"%r", "%I:%M:%S %p"},
		{"%h", "%I"},
		{"%l", "%-I"},
		{"%k", "%-H"},
		{"%e", "%-d"},
		{"%c", "%-m"},
		{"%W", "%A"},
		{"\x01", "%B"},
	} {
		expression = "replace(" + expression + ", '" + pair[0] + "', '" + pair[1] + "')"
	}
	return strings.ReplaceAll(expression, "'\x01'", "chr(1)")
}
