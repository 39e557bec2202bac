// Package price says what Athena asks for the bytes that a query reads. Its figures are
// AWS's price list of November 2026: 5 dollars for a terabyte, counted in whole
// megabytes, ten of them at least; a statement that reads no table (SHOW, DESCRIBE)
// and a query that fails cost nothing, a cancelled one what it had read. Reading from
// S3 itself (GET, LIST) comes on top and is not counted. Owned by whoever owns weir
// query.
package price

import "fmt"

// The figures, in one place. A terabyte is AWS's, of 2^40 bytes.
const (
	DefaultPerTB = 5.0       // dollars; other regions differ
	megabyte     = 1 << 20   // what is begun counts whole
	least        = 10        // megabytes of a query that reads anything, or nothing at all
	terabyte     = 1_048_576 // megabytes
)

// Dollars that a query costs which reads so many bytes; perTB is dollars for a terabyte.
func Dollars(bytes int64, perTB float64) float64 {
	return float64(Billed(bytes)/megabyte) * perTB / terabyte
}

// Billed is how many bytes count.
func Billed(bytes int64) int64 {
	return max((bytes+megabyte-1)/megabyte, least) * megabyte
}

// Text shows dollars so that a cheap query's price can be read too.
func Text(dollars float64) string {
	switch {
	case dollars >= 1:
		return fmt.Sprintf("$%.2f", dollars)
	case dollars >= 0.001:
		return fmt.Sprintf("$%.4f", dollars)
	}
	return fmt.Sprintf("$%.6f", dollars)
}

// Size shows bytes in the largest unit that there is one of.
func Size(bytes int64) string {
	if bytes < 1<<10 {
		return fmt.Sprintf("%d bytes", bytes)
	}
	size, unit := float64(bytes)/(1<<10), "KiB"
	for _, next := range []string{"MiB", "GiB", "TiB"} {
		if size < 1<<10 {
			break
		}
		size, unit = size/(1<<10), next
	}
	return fmt.Sprintf("%.1f %s", size, unit)
}
