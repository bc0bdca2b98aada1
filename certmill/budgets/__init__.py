"""The rate limits of CAs: which buckets a request spends from, and what an answer 429 says about them.

The order of events is that of Boulder, Let's Encrypt's CA (wfe2/wfe.go, ra/ra.go, ratelimits/). The buckets
are in Redis (state.buckets), and the steps decide what happens (steps.rate_limits). Pure: forbidden here are
Redis, the home, requests, and the clock."""
