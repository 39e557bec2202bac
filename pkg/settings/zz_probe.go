package settings

import _ "weir/services/query/rows" // probe
