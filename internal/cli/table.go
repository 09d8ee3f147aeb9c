package cli

import "fmt"

// commands is the command table. It is built for every run, so nothing is shared between runs.
func commands(program string, build Build) *command {
	root := &command{help: fmt.Sprintf(
		"Keep, hand out and revoke secrets with a %s server. \"%s <command> -h\" explains a command.", "Strongroom", program)}
	root.sub = []*command{
		readCommand(), writeCommand(), deleteCommand(), listCommand(), kubectlCommand(), loginCommand(), serverCommand(), statusCommand(),
		auditGroup(), authGroup(), eventsGroup(), kvGroup(), leaseGroup(), monitorCommand(), namespaceGroup(), operatorGroup(), patchCommand(), pathHelpCommand(), policyGroup(),
		printGroup(), scanCommand(), secretsGroup(), tlsCommand(), tokenGroup(), transitGroup(), unwrapCommand(), versionCommand(build),
		pluginGroup(), versionHistoryCommand(), debugCommand(),
		absent("agent"), absent("proxy"), absent("ssh"), absent("pki"), absent("transform"), absent("hcp"),
	}
	return root
}

// absent is a command of Vault's that a later release brings: it is named, so that a script that uses it
// learns why it failed.
func absent(name string) *command { return &command{name: name, absent: true} }
