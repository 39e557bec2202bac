package dialect

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// DateParse reads a time as Athena's date_parse does: the format is MySQL's, what it
// does not name is that of 1970-01-01 00:00:00.
func DateParse(text, format string) (time.Time, error) {
	p := parse{rest: text, year: 1970, month: 1, day: 1, half: -1}
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			if !p.accept(format[i : i+1]) {
				return time.Time{}, fmt.Errorf("date_parse: %q is not as %q says, at %q", text, format, p.rest)
			}
			continue
		}
		i++
		if err := p.field(format[i]); err != nil {
			return time.Time{}, fmt.Errorf("date_parse: %q is not as %q says: %w", text, format, err)
		}
	}
	if p.rest != "" {
		return time.Time{}, fmt.Errorf("date_parse: %q follows what %q says", p.rest, format)
	}
	return p.time(text)
}

// parse is a text that is being read.
type parse struct {
	rest                           string
	year, month, day               int
	hour, minute, second, fraction int // fraction in microseconds
	half                           int // 0 = AM, 1 = PM, -1 = not said
}

func (p *parse) accept(s string) bool {
	rest, ok := strings.CutPrefix(p.rest, s)
	if ok {
		p.rest = rest
	}
	return ok
}

func (p *parse) field(code byte) (err error) {
	switch code {
	case 'Y':
		p.year, err = p.number(4)
	case 'y':
		p.year, err = p.number(2)
		p.year += 2000
		if p.year >= 2070 {
			p.year -= 100
		}
	case 'm', 'c':
		p.month, err = p.number(2)
	case 'd', 'e':
		p.day, err = p.number(2)
	case 'H', 'k', 'h', 'I', 'l':
		p.hour, err = p.number(2)
	case 'i':
		p.minute, err = p.number(2)
	case 's', 'S':
		p.second, err = p.number(2)
	case 'f':
		err = p.micros()
	case 'b':
		err = p.monthName(3)
	case 'M':
		err = p.monthName(len("September"))
	case 'p':
		err = p.halfDay()
	case 'T':
		err = p.fields('H', 'i', 's')
	case 'r':
		err = p.fields('h', 'i', 's')
		if err == nil && !p.accept(" ") {
			err = fmt.Errorf("a space is missing before AM or PM")
		}
		if err == nil {
			err = p.halfDay()
		}
	case '%':
		if !p.accept("%") {
			err = fmt.Errorf("a %% is missing")
		}
	default:
		err = fmt.Errorf("%%%c is not read here", code)
	}
	return err
}

// fields reads several with colons between.
func (p *parse) fields(codes ...byte) error {
	for i, c := range codes {
		if i > 0 && !p.accept(":") {
			return fmt.Errorf("a colon is missing at %q", p.rest)
		}
		if err := p.field(c); err != nil {
			return err
		}
	}
	return nil
}

func (p *parse) digits(most int) string {
	n := 0
	for n < len(p.rest) && n < most && p.rest[n] >= '0' && p.rest[n] <= '9' {
		n++
	}
	found := p.rest[:n]
	p.rest = p.rest[n:]
	return found
}

func (p *parse) number(most int) (int, error) {
	digits := p.digits(most)
	if digits == "" {
		return 0, fmt.Errorf("a number is missing at %q", p.rest)
	}
	return strconv.Atoi(digits)
}

func (p *parse) micros() error {
	digits := p.digits(9)
	if digits == "" {
		return fmt.Errorf("a fraction is missing at %q", p.rest)
	}
	n, err := strconv.Atoi((digits + "000000")[:6])
	p.fraction = n
	return err
}

func (p *parse) monthName(letters int) error {
	for m := time.January; m <= time.December; m++ {
		name := m.String()
		name = name[:min(len(name), letters)]
		if len(p.rest) >= len(name) && strings.EqualFold(p.rest[:len(name)], name) {
			p.month, p.rest = int(m), p.rest[len(name):]
			return nil
		}
	}
	return fmt.Errorf("a month is missing at %q", p.rest)
}

func (p *parse) halfDay() error {
	for i, name := range []string{"AM", "PM"} {
		if len(p.rest) >= 2 && strings.EqualFold(p.rest[:2], name) {
			p.half, p.rest = i, p.rest[2:]
			return nil
		}
	}
	return fmt.Errorf("AM or PM is missing at %q", p.rest)
}

func (p *parse) time(text string) (time.Time, error) {
	hour := p.hour
	if p.half >= 0 {
		if hour < 1 || hour > 12 {
			return time.Time{}, fmt.Errorf("date_parse: %q: hour %d of half a day", text, hour)
		}
		hour = hour%12 + 12*p.half
	}
	t := time.Date(p.year, time.Month(p.month), p.day, hour, p.minute, p.second, p.fraction*1000, time.UTC)
	if t.Year() != p.year || int(t.Month()) != p.month || t.Day() != p.day || t.Hour() != hour || t.Minute() != p.minute || t.Second() != p.second {
		return time.Time{}, fmt.Errorf("date_parse: %q is no time", text)
	}
	return t, nil
}
