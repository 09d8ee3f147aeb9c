package cli

import "testing"

func TestCeremonyCommands(t *testing.T) {
	idle := ok(`{"nonce":"","started":false,"progress":0,"required":3,"complete":false,"otp_length":28}`)
	running := ok(`{"nonce":"n-1","started":true,"t":2,"n":3,"progress":1,"required":3,"complete":false,"otp_length":28}`)
	runGolden(t, []goldenCase{
		{args: []string{"operator", "rotate"}, answers: map[string]answer{"POST sys/rotate": noContent,
			"GET sys/key-status": ok(`{"data":{"term":2,"install_time":"2026-01-02T03:04:05Z","encryptions":7}}`)},
			stdout: "Success! Rotated key\n\nKey Term            2\nInstall Time        02 Jan 26 03:04 UTC\nEncryption Count    7\n"},
		{args: []string{"operator", "generate-root", "-decode=IAIJEA", "-otp=HTzh"}, stdout: "hVsx\n"},
		{args: []string{"operator", "generate-root", "-decode=IAIJEA"}, code: 1, stderr: "Missing otp: use -otp to supply the password of -init\n"},
		{args: []string{"operator", "generate-root", "-decode=IAIJEA", "-otp=x"}, code: 1, stderr: "Error decoding the token: it has 4 characters and the otp 1, which must be the same\n"},
		{args: []string{"operator", "generate-root", "-cancel"}, answers: map[string]answer{"DELETE sys/generate-root/attempt": noContent},
			stdout: "Success! Root token generation canceled (if it was started)\n"},
		{name: "no generation", args: []string{"operator", "generate-root", "k"}, answers: map[string]answer{"GET sys/generate-root/attempt": idle}, code: 1,
			stderr: "No root generation is in progress. Start a root generation by running \"vault operator generate-root -init\"\n"},
		{name: "a share from stdin", args: []string{"operator", "generate-root", "-nonce=n-1", "-"}, stdin: "share\n",
			answers: map[string]answer{"GET sys/generate-root/attempt": running, "PUT sys/generate-root/update": running},
			stdout:  "Nonce         n-1\nStarted       true\nProgress      1/3\nComplete      false\nOTP Length    28\n",
			sent:    []string{"GET sys/generate-root/attempt", `PUT sys/generate-root/update {"key":"share","nonce":"n-1"}`}},
		{args: []string{"operator", "rekey", "-status"}, answers: map[string]answer{"GET sys/rekey/init": running},
			stdout: "Key                      Value\n---                      -----\nNonce                    n-1\nStarted                  true\nRekey Progress           1/3\nNew Shares               3\nNew Threshold            2\nVerification Required    false\n"},
		{args: []string{"operator", "rekey", "-target=recovery", "-cancel"}, answers: map[string]answer{"DELETE sys/rekey/init": noContent},
			stdout: "Success! Canceled rekeying (if it was started)\n"},
		{args: []string{"operator", "rekey", "-target=moon", "-status"}, code: 1, stderr: "Unknown target: moon (valid: barrier, recovery)\n"},
		{name: "the last share", args: []string{"operator", "rekey", "-nonce=n-1", "k"},
			answers: map[string]answer{"PUT sys/rekey/update": ok(`{"nonce":"n-1","complete":true,"keys":["aa"],"keys_base64":["qg=="]}`)},
			stdout:  "Key 1: qg==\n\nOperation nonce: n-1\n\nVault rekeyed. The keys above are in force from now on, and the old ones open\nnothing any more. Please securely distribute the key shares printed above.\n",
			sent:    []string{`PUT sys/rekey/update {"key":"k","nonce":"n-1"}`}},
		{name: "verified", args: []string{"operator", "rekey", "-verify", "-nonce=v-1", "k"}, answers: map[string]answer{"PUT sys/rekey/verify": ok(`{"nonce":"v-1","complete":true}`)},
			stdout: "Success! Rekey verification completed. The new keys are in force, and the old ones open nothing any more.\n"},
	})
}
