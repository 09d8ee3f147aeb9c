package server

// What the build says of itself; the Makefile sets them with -ldflags -X.
var (
	Version   = "0.1.0-dev"
	Revision  = ""
	BuildDate = ""
)
