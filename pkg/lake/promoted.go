package lake

// Promoted is a path of context, traits or properties that has a typed column of its own. The maps keep its values all
// the same. What does not fit the type stands in a column beside it, named for the type that it has.
type Promoted struct {
	Name    string   // of the column
	Path    []string // keys, from the outermost: context, page, url
	Type    Type     // String, BigInt, Double, Boolean, Timestamp or Date
	FieldID int32    // of the column; those beside it have the next ones, Side by Side
}

// FirstPromotedID is the field id of the first promoted column.
const FirstPromotedID = 35

// Side says in which column of a promoted path a value stands.
type Side uint8

// The columns of a promoted path.
const (
	Main       Side = iota // of the promoted type
	SideBigInt             // an integer where none fits
	SideDouble
	SideBoolean
	SideString // a text where none fits; objects and arrays as JSON text, and numbers beyond bigint and double
	Sides      // how many there are
)

// Column is the column of a side; false where there is none: a column has none beside it of its own type, and every
// value fits a text.
func (p Promoted) Column(s Side) (Column, bool) {
	c := Column{Name: p.Name, Type: p.Type, FieldID: p.FieldID + int32(s)}
	if s == Main {
		return c, true
	}
	c.Type = [Sides]Type{SideBigInt: BigInt, SideDouble: Double, SideBoolean: Boolean, SideString: String}[s]
	c.Name += "__" + c.Type.Glue()
	return c, c.Type != p.Type && p.Type != String
}
