// Package sim runs the controller's planner, reconciler, sweeper and store against a cloud with the faults of real ones,
// in virtual time, killing the controller at every recorded step, and counts machines that leak or are made twice. It
// holds tests only. ALOFT_SIM_SEEDS says how many seeds to run.
package sim
