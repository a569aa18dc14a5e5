"""What holds for all tests.

Property tests try the same examples every time, so that a pass is a pass on any machine; to look
for new ones: ``pytest --hypothesis-profile search``.
"""

from hypothesis import settings

settings.register_profile("manyfit", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, derandomize=False, print_blob=True)
settings.load_profile("manyfit")
