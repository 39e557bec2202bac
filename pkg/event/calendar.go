package event

// The Gregorian calendar over days since 1970-01-01, after Howard Hinnant's days_from_civil: time.Parse allocates its
// errors and time.Date normalises what is no date, and here both matter.

const daysPerEra = 146097 // 400 years

// daysFrom is the day of a date.
func daysFrom(year, month, day int64) int64 {
	if month <= 2 {
		year--
	}
	era, yearOfEra := floorDiv(year, 400)
	dayOfYear := (153*((month+9)%12)+2)/5 + day - 1
	return era*daysPerEra + yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear - 719468
}

// civil is the date of a day.
func civil(days int64) (year, month, day int64) {
	era, d := floorDiv(days+719468, daysPerEra)
	yearOfEra := (d - d/1460 + d/36524 - d/146096) / 365
	dayOfYear := d - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	shifted := (5*dayOfYear + 2) / 153
	day = dayOfYear - (153*shifted+2)/5 + 1
	month = (shifted+2)%12 + 1
	year = yearOfEra + era*400
	if month <= 2 {
		year++
	}
	return year, month, day
}

// daysIn is the length of a month.
func daysIn(year, month int64) int64 {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// floorDiv rounds down; rest is never negative.
func floorDiv(a, b int64) (quotient, rest int64) {
	quotient, rest = a/b, a%b
	if rest < 0 {
		quotient, rest = quotient-1, rest+b
	}
	return quotient, rest
}
