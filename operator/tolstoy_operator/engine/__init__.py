"""What happens when: inventory, queue, schedule and the reconciler that joins decisions to actions."""
