"""The PyMC program: the same specification as an ordinary `pm.Model`, its sampler, relabelling and the reference densities."""
