// Package diagnosis says what happened to a device's connections and why: who displaced
// whom, how the loser behaved, what it was, how sure that is, and what to do.
//
// Its one invariant: a verdict follows from the evidence in the ledger by the rules in
// rules.go and verdicts.go alone; whoever reads the ledger can check it. When in doubt
// it abstains: a wrong "two clients" sends somebody to hunt a ghost. It refuses to act:
// it never delays, closes or refuses a connection, and those who tell it something
// never wait for it.
//
// History and Classify are pure. One goroutine, the clerk, owns everything else that
// changes; telling it is an append to a bounded queue, asking it a call that it carries
// out between two events.
package diagnosis
