"""Celery's thin shell: one decorated function for each task, which makes one call to the engine.

What all tasks have in common (errors, retries, the chain, log context) is in `tasks.base`. Names, queues and
arguments are in `certmill.contract`. Importing a module of tasks defines them for every Celery app of the
process (`celery.shared_task`), and opens nothing: each task takes the engine from its app, `app.runtime`,
which `workers.celery_app` sets. Forbidden here: decisions, Redis, ACME."""
