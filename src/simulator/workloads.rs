//! Plays a cluster's controller manager, scheduler and kubelets: workloads
//! become available, Services get endpoints, one Node stands for the rest.
