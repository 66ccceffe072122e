"""Auctions: the decision over bids, which is the hub's own (decision 17).

judging    one bid against where its lot stands: no database, no clock
rounds     bids enter, and are decided in the order of their numbers
closing    lots whose time is over
telling    what was decided, as contributions of the system `headwater` to the catalogue
"""
