// Package operator wires Strongroom's Kubernetes operator: the manager, its cache, the pool of logins, the hub of event
// streams and a controller for each kind. It decides nothing about any kind itself.
//
// # Between the core and the kinds
//
// The core is vaultauth (who may log in as whom), vaultclient (logins, requests, outages), instant (when to look again)
// and condition (how to say what is wrong). A kind
//
//   - gets its login from vaultauth.Resolver.Login, and never builds one;
//   - asks the server in vaultclient.Pool.Do only, and retries nothing itself: Do fails at once while the server is out;
//   - sets Login.Leases before it takes anything with a lease, and issues anew when Client.LoginID has changed;
//   - notes the time before it reads, and calls instant.Watcher.Follow with it and with the paths that it read;
//   - has the server told, where that is on, by consumers.Reporter.Tell;
//   - reports by condition.Reporter, and ends with instant.Watcher.Next, with the Problem or one with the same Cause: that
//     says which server is out, so that the resource is woken when it is back;
//   - calls instant.Watcher.Forget for what is gone.
package operator
