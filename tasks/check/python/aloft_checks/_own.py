"""Runs checks of the user's own beside the stream of batches: each in a thread that is handed one batch at a time."""

import queue
import threading

_END = object()


class _Feed:
    """An iterator over batches that come from another thread. At most one batch waits."""

    def __init__(self):
        self.queue = queue.Queue(maxsize=1)
        self.left = False

    def put(self, batch):
        while not self.left:
            try:
                self.queue.put(batch, timeout=0.1)
                return
            except queue.Full:
                continue

    def __iter__(self):
        while True:
            batch = self.queue.get()
            if batch is _END:
                return
            yield batch


class Beside:
    """The checks of one run."""

    def __init__(self, checks, sides):
        self.outcomes = {}
        self.feeds = {w: [] for w in sides}
        self.threads = []
        self.order = []
        for c in checks:
            if c.per_dataset:
                for w in sides:
                    self._start(c, w, [w])
            else:
                self._start(c, None, list(sides))

    def _start(self, check, which, sides):
        feeds = [_Feed() for _ in sides]
        for w, f in zip(sides, feeds):
            self.feeds[w].append(f)
        key = len(self.order)
        self.order.append(key)
        if not check.per_dataset and len(sides) < 2:
            for f in feeds:
                f.left = True
            self.outcomes[key] = {
                "check": check.name().replace(" ", ""), "header": check.name(), "which": "",
                "error": {"class": "DeepchecksNotSupportedError", "message": "Check is irrelevant if not supplied with both train and test datasets"},
            }
            return
        # A check over both sides reads train to its end before test begins: test's feed waits until then.
        def work():
            self.outcomes[key] = check._outcome(which, lambda: check.function(*[iter(f) for f in feeds]))
            for f in feeds:
                f.left = True
                while True:  # let a put that waits go on
                    try:
                        f.queue.get_nowait()
                    except queue.Empty:
                        break

        t = threading.Thread(target=work, daemon=True)
        t.start()
        self.threads.append(t)

    def observe(self, which, batch):
        for f in self.feeds[which]:
            f.put(batch)

    def end(self, which):
        for f in self.feeds[which]:
            f.put(_END)

    def results(self):
        for t in self.threads:
            t.join()
        return [self.outcomes[k] for k in self.order]
