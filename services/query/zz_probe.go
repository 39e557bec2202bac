package query

import _ "weir/pkg/embedded" // probe
