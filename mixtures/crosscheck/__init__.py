"""The comparison: do the EM point estimates and the posterior samples agree, and if not, why?"""
