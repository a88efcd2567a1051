"""kubelet's device plugin v1beta1 messages, generated from deviceplugin.proto by `make stubs`."""
