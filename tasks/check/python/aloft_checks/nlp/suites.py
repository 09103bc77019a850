"""The suites of texts, which the engine does not have."""

from ..core import errors

__all__ = ["data_integrity", "train_test_validation", "model_evaluation", "full_suite"]


def _missing(name):
    def suite(*_, **__):
        raise errors.DeepchecksNotImplementedError(
            "the engine has no suite %s of texts: check metadata, properties and labels as a table, with "
            "aloft_checks.tabular.suites.%s().run(train.to_dataset(), test.to_dataset())" % (name, name)
        )

    suite.__name__ = name
    return suite


data_integrity, train_test_validation, model_evaluation, full_suite = map(_missing, __all__)
