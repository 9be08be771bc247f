// Package sandboxnet is what a sandboxed function finds behind the names of AWS: a small DNS server, a certificate
// authority that the sandbox trusts, and an HTTP server, each on sockets that were opened inside the function's own
// network namespace.
//
// The package promises:
//
//   - Every name of AWS, in every region, leads to the loopback address of the sandbox and so to Brume. Any SDK of any
//     age works there with no configuration. Other names resolve as they do on this machine, if functions may reach
//     the Internet.
//   - The server presents a certificate for exactly the name that the client asks for. The authority's key is kept in
//     the data directory, readable for its owner alone, and is trusted nowhere but inside sandboxes.
//   - A request that came from a sandbox can be told from every other one, and from which sandbox it came: see From.
//   - Where a link is given, the sandbox reaches the addresses that Egress permits, by TCP and UDP over IPv4, and no other:
//     not this machine, not its neighbours. A sandbox that sends nothing costs next to nothing.
//   - The function is not trusted. Queries, headers, connections and certificates are bounded, and after Detach no
//     goroutine and no connection of that sandbox is left.
package sandboxnet
