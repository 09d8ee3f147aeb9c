package main

import "testing"

func TestIdentify(t *testing.T) {
	for text, want := range map[string]string{
		"MIT License\n\nPermission is hereby granted, free of charge, to any person\nobtaining a copy":                                 "MIT",
		"Mozilla Public License, version 2.0\n\n1. Definitions":                                                                        "MPL-2.0",
		"Apache License\n   Version 2.0, January 2004":                                                                                 "Apache-2.0",
		"Redistribution and use in source and binary\nforms … Neither the name of Google Inc. nor … may be used to endorse or promote": "BSD-3-Clause",
		"Redistribution and use in source and binary forms, with or without":                                                           "BSD-2-Clause",
		"Permission to use, copy, modify, and distribute this software":                                                                "ISC",
		"GNU GENERAL PUBLIC LICENSE\nVersion 3 … Apache License Version 2.0":                                                           "",
		"Business Source License 1.1 … Mozilla Public License, version 2.0":                                                            "", // what it becomes one day
		"All rights reserved.": "",
	} {
		if got := identify(text); got != want {
			t.Errorf("%.40q: %q, want %q", text, got, want)
		}
	}
}

func TestRefusesWhatHasNone(t *testing.T) {
	if name, err := licence(t.TempDir()); err == nil {
		t.Errorf("a module without a licence is under %q", name)
	}
}
