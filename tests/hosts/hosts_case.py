"""What the tests on several hosts share."""
from cluster import Cluster
from launcher import LauncherTest


class HostsTest(LauncherTest):
    """A test on hosts that its class shares; each test has a folder of its own that all hosts see."""
    HOSTS = 3
    NETWORK = {}

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(cls.HOSTS, **cls.NETWORK)
        cls.addClassCleanup(cls.cluster.close)
        cls.tests = 0

    def setUp(self):
        type(self).tests += 1
        self.cluster.work_in(f"test-{self.tests}")
        self.folder = self.cluster.folder

    def succeed_on(self, ranks, *arguments, **more):
        result = self.cluster.run(ranks, *arguments, **more)
        self.assertEqual(result.code, 0, result)
        self.assertEqual(result.error_lines, [], result)
        return result
