package flush

// Remembers is how many keys a gap holds.
func (c *Chain) Remembers() int { return len(c.keys) + len(c.tops) }
