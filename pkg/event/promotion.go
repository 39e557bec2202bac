package event

import "weir/pkg/lake"

// Promotion finds the values of promoted paths while an event is read. It is made once, and any number of views use it.
type Promotion struct {
	types []lake.Type             // by path
	roots [fields - context]*node // of context, traits and properties; nil where nothing below is promoted
	nodes int                     // how many there are
	alone bool
}

// Alone leaves out the entries of context, traits, properties and integrations: for tables that have promoted columns
// and no maps.
func (p *Promotion) Alone() *Promotion {
	p.alone = true
	return p
}

// Cell is the value of a promoted path in the column where it belongs.
type Cell struct {
	Path   int       // index of the promoted path
	Side   lake.Side // which of its columns
	Number int64     // bigint; bits of a double; 0 or 1; microseconds since 1970; days since 1970
	Text   []byte    // of String and SideString
}

// node is an object on the way to promoted paths.
type node struct {
	index    int // among the nodes of the promotion
	children []child
	heads    [64]uint16 // by class of key: the last child, from 1; 0 = none
}

// child is a key of a node.
type child struct {
	key  string
	path int // that ends here, or -1
	node *node
	next uint16 // another child of the same class, from 1
}

// NewPromotion readies the paths, which are unique and begin with context, traits or properties.
func NewPromotion(columns []lake.Promoted) *Promotion {
	p := &Promotion{}
	for i, c := range columns {
		p.types = append(p.types, c.Type)
		at := &p.roots[fieldOf([]byte(c.Path[0]))-context]
		for j, key := range c.Path[1:] {
			if *at == nil {
				*at = &node{index: p.nodes}
				p.nodes++
			}
			next := (*at).child(key)
			if j == len(c.Path)-2 {
				next.path = i
			}
			at = &next.node
		}
	}
	return p
}

// child is the child of that key, made where it is missing. The pointer is good until the next call.
func (n *node) child(key string) *child {
	class := classOf([]byte(key))
	if c := n.find([]byte(key), class); c != nil {
		return c
	}
	head := &n.heads[class&63]
	n.children = append(n.children, child{key: key, path: -1, next: *head})
	*head = uint16(len(n.children))
	return &n.children[len(n.children)-1]
}

// find is the child of a key and its class; nil if there is none.
func (n *node) find(key []byte, class uint) *child {
	for i := n.heads[class&63]; i > 0; {
		c := &n.children[i-1]
		if c.key == string(key) {
			return c
		}
		i = c.next
	}
	return nil
}
