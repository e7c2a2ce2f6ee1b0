//go:build tools

// Package kwok pins kwok in a module of its own: it is built on other versions
// of the Kubernetes libraries than the API server.
package kwok

import _ "sigs.k8s.io/kwok/cmd/kwok"
