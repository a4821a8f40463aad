//go:build tools

// Package tools names what `make deploy-engines` builds: Kubernetes' own modules cannot be installed by
// `go install path@version`, as their go.mod replaces modules; here the replacements are ours.
package tools

import (
	_ "go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/kubernetes/cmd/kube-apiserver/app"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	_ "k8s.io/kubernetes/cmd/kube-scheduler/app"
)
