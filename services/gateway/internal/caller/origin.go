package caller

import "net/http"

// Origin is the page's that a browser sends from; "" where no browser says one. Which pages may send is judged once the
// source is known: a preflight names no key.
func Origin(r *http.Request) string {
	if list := r.Header["Origin"]; len(list) > 0 {
		return list[0]
	}
	return ""
}
