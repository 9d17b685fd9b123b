"""What happens in the invented company: people, pets, money, behaviour. Facts with a time, from one seed."""

__all__ = []
